import { REPOSITORY_NAME_CHARS_MAX } from './limits.ts';

const REPOSITORY =
  /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/;
const TAG = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/;
const DIGEST = /^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/;

/** Whether `text` is a repository name (distribution-spec 1.1, "Pulling manifests"). */
export function isRepository(text: string): boolean {
  return text.length <= REPOSITORY_NAME_CHARS_MAX && REPOSITORY.test(text);
}

/** Whether `text` is a tag (distribution-spec 1.1, "Pulling manifests"). */
export function isTag(text: string): boolean {
  return TAG.test(text);
}

/**
 * Whether `text` is a digest of a registered algorithm (image-spec 1.1, descriptor, "Registered
 * algorithms").
 */
export function isDigest(text: string): boolean {
  return DIGEST.test(text);
}

export function isSha256(text: string): boolean {
  return text.startsWith('sha256:') && isDigest(text);
}
