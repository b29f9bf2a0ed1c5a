/** Size of an image: manifest, config and layers; null if it is not an image manifest. */
export function imageBytes(manifest: Uint8Array): number | null {
  if (manifest.length === 0) return null;
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder().decode(manifest));
  } catch {
    return null;
  }
  const { config, layers } = (value ?? {}) as { config?: unknown; layers?: unknown };
  if (!Array.isArray(layers)) return null;
  const sizes = [config, ...(layers as unknown[])].map((entry) =>
    Number((entry as { size?: unknown } | null | undefined)?.size ?? 0),
  );
  const sum = sizes.reduce((total, size) => total + size, 0);
  return Number.isSafeInteger(sum) && sizes.every((size) => size >= 0) ? sum : null;
}
