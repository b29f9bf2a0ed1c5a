/** Default paths of the runtimes' config files. */
export const OVERLAYBD_FILE = '/etc/overlaybd/overlaybd.json';
export const CONTAINERD_CONFIG = '/etc/containerd/config.toml';
export const CERTS_DIR = '/etc/containerd/certs.d';
export const DOCKER_FILE = '/etc/docker/daemon.json';
export const PODMAN_DIR = '/etc/containers/registries.conf.d';

/**
 * The proxy port of this node (docs/SPEC.md), as a mirror URL, and with the prefix of on-demand
 * loading for overlaybd.
 */
export const PROXY_PORT = 65_001;
export const MIRROR_URL = `http://127.0.0.1:${PROXY_PORT}`;
export const OVERLAYBD_ADDRESS = `http://localhost:${PROXY_PORT}/accelerator`;
