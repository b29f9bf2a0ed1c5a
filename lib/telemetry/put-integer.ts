const ZERO = 48;
const MINUS = 45;

/** Writes a whole number in decimal at `at`; returns where it ends. Exact to 2^53. */
export function putInteger(target: Uint8Array, at: number, value: number): number {
  let rest = value;
  if (rest < 0) {
    target[at++] = MINUS;
    rest = -rest;
  }
  let end = at + 1;
  for (let power = 10; rest >= power; power *= 10) end += 1;
  for (let i = end - 1; i >= at; i--) {
    const tenth = Math.floor(rest / 10);
    target[i] = ZERO + (rest - tenth * 10);
    rest = tenth;
  }
  return end;
}
