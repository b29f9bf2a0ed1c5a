/**
 * An object at its origin, and how to read it there. Between nodes it is sent sealed, and only to
 * owners and roots, which may have to read the origin (lib/wire/sealed-origin.ts).
 */
export interface OriginTarget {
  url: string;
  upstreamHost: string;
  /** The credential of the client that asked for the object. */
  authorization: string | null;
  /** Media types to ask the registry for, if the object is a manifest. It is not read by range. */
  accept?: string;
  /** The digest in the object's name, if it has one: the bytes must match it. */
  digest?: string | null;
  /**
   * The object's size by a manifest of its repository. It counts only where no answer of the origin
   * says the size.
   */
  saidBytes?: number;
  /** Header `traceparent` for the origin, if the read is traced. */
  traceparent?: string;
}

/** Where a registry has redirected a request for an object to. */
export interface Redirect {
  /** Signed: never log it. */
  url: string;
  /** The URL that redirected there. */
  referer: string | undefined;
}

/** The name of the object: its URL without the query, because a signature is not part of it. */
export function objectOf({ url }: { url: string }): string {
  return url.split('?', 1)[0]!;
}
