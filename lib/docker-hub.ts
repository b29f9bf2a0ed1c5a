/** Docker Hub's images carry another name than its registry. */
export const DOCKER_HUB = { name: 'docker.io', host: 'registry-1.docker.io' };

/** The host of the registry whose images carry the name `host`. */
export function answeringHost(host: string): string {
  return host === DOCKER_HUB.name ? DOCKER_HUB.host : host;
}
