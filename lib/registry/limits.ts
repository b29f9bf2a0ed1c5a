/** Bounds of lib/registry: each is named, has its unit last, and gives the reason for its value. */

/** Length of a repository name, as docker distribution limits it. */
export const REPOSITORY_NAME_CHARS_MAX = 255;

/** Rights remembered, of (credential, repository) or signed URLs: ~200 bytes each. */
export const ACCESS_GRANTS_MAX = 32_768;

/** Sights of a blob in a repository remembered: 40 layers of 1,600 images, ~250 bytes each. */
export const BLOB_PROOFS_MAX = 65_536;

/** What a repository holds seldom leaves it; after a day it is looked at again. */
export const BLOB_PROOF_TTL_MS = 24 * 60 * 60_000;

/**
 * Layers of an image and platforms of an index are far fewer; a manifest of 4 MiB could name more.
 */
export const MANIFEST_MEMBERS_MAX = 4_096;

/** Words of registries remembered: tags, manifests and credentials of an hour; ~400 bytes each. */
export const WORDS_MAX = 32_768;

/** A WWW-Authenticate header that is remembered: a realm and a service are well under it. */
export const CHALLENGE_CHARS_MAX = 1_024;

/** Buckets learnt from redirects; a registry has a few. */
export const VOUCHED_BUCKETS_MAX = 1_024;

/** Hosts whose parsed form is remembered, and how long a scheme, name and port may be for that. */
export const PARSED_HOSTS_MAX = 256;
export const PARSED_HOST_CHARS_MAX = 280;
