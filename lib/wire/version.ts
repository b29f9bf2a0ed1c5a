/** The version of the protocol between nodes (docs/SPEC.md 8). */
export interface ProtocolVersion {
  /** Nodes of different major versions refuse each other: a message changed its meaning. */
  major: number;
  /**
   * Counts additions that an older node can ignore: a new message, header, query parameter or JSON
   * field.
   */
  minor: number;
}

export const PROTOCOL_VERSION: ProtocolVersion = { major: 1, minor: 7 };

export function formatVersion({ major, minor }: ProtocolVersion): string {
  return `${major}.${minor}`;
}

/** The version in a header, or null when there is none. */
export function parseVersion(text: string): ProtocolVersion | null {
  const match = /^(\d{1,4})\.(\d{1,4})$/.exec(text);
  return match === null ? null : { major: Number(match[1]), minor: Number(match[2]) };
}
