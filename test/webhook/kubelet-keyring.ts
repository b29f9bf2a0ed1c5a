import { execFileSync } from 'node:child_process';

interface KeyringQuestion {
  /** The registries of a pull secret by key. */
  auths: Record<string, { username: string; password: string }>;
  images: readonly string[];
}

/**
 * What the kubelet's own code finds (`program`: kubelet-keyring of test/kube/assets.sh): for each
 * question and image the user names in the kubelet's order, sorted where it has none.
 */
export function askKubelet(program: string, questions: readonly KeyringQuestion[]): string[][][] {
  const input = questions.map((question) => JSON.stringify(question)).join('\n');
  const output = execFileSync(program, {
    input,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
    // It logs every key that it cannot read.
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  return output
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as string[][]);
}
