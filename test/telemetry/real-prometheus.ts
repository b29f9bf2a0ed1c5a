import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePorts } from '../free-ports.ts';
import { findProgram } from '../programs.ts';

export interface Sample {
  metric: Record<string, string>;
  value: [seconds: number, value: string];
}

/** A real Prometheus that scrapes exporters. */
export class RealPrometheus {
  readonly #directory: string;
  readonly #child: ChildProcess;
  readonly #url: string;

  private constructor(directory: string, child: ChildProcess, url: string) {
    this.#directory = directory;
    this.#child = child;
    this.#url = url;
  }

  /** `exporters` are URLs; `interval` is in the words of Prometheus. */
  static async start(exporters: readonly string[], interval: string): Promise<RealPrometheus> {
    const directory = mkdtempSync(join(tmpdir(), 'shoal-prometheus-'));
    const targets = exporters.map((url) => new URL(url).host);
    writeFileSync(
      join(directory, 'prometheus.yml'),
      JSON.stringify({
        global: { scrape_interval: interval },
        scrape_configs: [{ job_name: 'shoal', static_configs: [{ targets }] }],
      }),
    );
    const listen = `127.0.0.1:${(await freePorts(1))[0]}`;
    const child = spawn(
      findProgram('prometheus') ?? 'prometheus',
      [
        `--config.file=${directory}/prometheus.yml`,
        `--storage.tsdb.path=${directory}/data`,
        `--web.listen-address=${listen}`,
      ],
      { stdio: 'ignore' },
    );
    return new RealPrometheus(directory, child, `http://${listen}`);
  }

  /** The result of an expression, now or at a moment; empty while Prometheus does not answer. */
  async ask<T = Sample>(expression: string, atSeconds?: number): Promise<T[]> {
    const at = atSeconds === undefined ? '' : `&time=${atSeconds}`;
    const response = await fetch(
      `${this.#url}/api/v1/query?query=${encodeURIComponent(expression)}${at}`,
    ).catch(() => undefined);
    if (response?.status !== 200) return [];
    return ((await response.json()) as { data: { result: T[] } }).data.result;
  }

  async stop(): Promise<void> {
    const gone = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill('SIGKILL');
    await gone;
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
