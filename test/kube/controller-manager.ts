import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { ApiServer } from './api-server.ts';

/** A real kube-controller-manager that runs some of its controllers. */
export class ControllerManager {
  readonly #stop: () => Promise<void>;

  private constructor(stop: () => Promise<void>) {
    this.#stop = stop;
  }

  static start(program: string, api: ApiServer, controllers: readonly string[]): ControllerManager {
    const child = spawn(
      program,
      [
        `--kubeconfig=${api.kubeconfig}`,
        `--controllers=${controllers.join(',')}`,
        '--leader-elect=false',
        '--secure-port=0',
      ],
      { stdio: 'ignore' },
    );
    const kill = (): void => void child.kill('SIGKILL');
    process.once('exit', kill);
    const exited = once(child, 'exit');
    return new ControllerManager(async () => {
      process.off('exit', kill);
      kill();
      await exited;
    });
  }

  async stop(): Promise<void> {
    await this.#stop();
  }
}
