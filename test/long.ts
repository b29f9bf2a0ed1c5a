/**
 * Whether to run the long forms of tests, which take minutes: `SHOAL_LONG=1 node test/run.ts FILE`.
 * The short forms are samples of them.
 */
export const isLong = process.env['SHOAL_LONG'] === '1';

/** Registers a test of the long forms; in the short forms it does not exist. */
export const itIfLong = isLong ? it : (): void => undefined;
