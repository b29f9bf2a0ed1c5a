/** Bounds of lib/node. */

/** Length of a profile that names none, and of the longest: V8 keeps it in memory. */
export const PROFILE_SECONDS = 10;
export const PROFILE_SECONDS_MAX = 120;
