import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findProgram } from '../programs.ts';
import { until } from './until.ts';

const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--hide-scrollbars',
  '--remote-debugging-port=0',
];

interface Reply {
  id?: number;
  method?: string;
  params?: Record<string, unknown>;
  result?: Record<string, unknown>;
  error?: { message: string };
}

/** One page of a headless Chromium, driven over the DevTools protocol. */
export class Browser {
  /**
   * Everything the page complained about: exceptions, console errors, refusals of its content
   * policy.
   */
  readonly complaints: string[] = [];
  readonly #child: ChildProcess;
  readonly #profile: string;
  readonly #socket: WebSocket;
  readonly #pending = new Map<
    number,
    { resolve: (result: Record<string, unknown>) => void; reject: (error: Error) => void }
  >();
  readonly #listeners = new Map<string, Set<(params: Record<string, unknown>) => void>>();
  #id = 0;

  private constructor(child: ChildProcess, profile: string, socket: WebSocket) {
    this.#child = child;
    this.#profile = profile;
    this.#socket = socket;
    socket.addEventListener('message', (event) =>
      this.#take(JSON.parse(String(event.data)) as Reply),
    );
  }

  static async open(): Promise<Browser> {
    const profile = mkdtempSync(join(tmpdir(), 'shoal-chromium-'));
    const child = spawn(
      findProgram('chromium') ?? 'chromium',
      [...FLAGS, `--user-data-dir=${profile}`, 'about:blank'],
      { stdio: 'ignore' },
    );
    const port = (): string => {
      try {
        return readFileSync(join(profile, 'DevToolsActivePort'), 'utf8').split('\n')[0] ?? '';
      } catch {
        return '';
      }
    };
    await until(() => port() !== '', 'Chromium', 30_000);
    const targets = (await (await fetch(`http://127.0.0.1:${port()}/json/list`)).json()) as {
      type: string;
      webSocketDebuggerUrl: string;
    }[];
    const socket = new WebSocket(targets.find(({ type }) => type === 'page')!.webSocketDebuggerUrl);
    await new Promise((resolve, reject) => {
      socket.addEventListener('open', resolve);
      socket.addEventListener('error', reject);
    });
    const browser = new Browser(child, profile, socket);
    for (const domain of ['Runtime', 'Log', 'Page']) await browser.send(`${domain}.enable`);
    // As if its window was in front: else elements are focused without events.
    await browser.send('Emulation.setFocusEmulationEnabled', { enabled: true });
    return browser;
  }

  send(method: string, params: Record<string, unknown> = {}): Promise<Record<string, unknown>> {
    const id = ++this.#id;
    this.#socket.send(JSON.stringify({ id, method, params }));
    return new Promise((resolve, reject) => this.#pending.set(id, { resolve, reject }));
  }

  /** Calls `listener` for each event of a DevTools domain; returns what ends that. */
  on(event: string, listener: (params: Record<string, unknown>) => void): () => void {
    const listeners = this.#listeners.get(event) ?? new Set();
    this.#listeners.set(event, listeners.add(listener));
    return () => listeners.delete(listener);
  }

  once(event: string): Promise<void> {
    return new Promise((resolve) => {
      const stop = this.on(event, () => {
        stop();
        resolve();
      });
    });
  }

  async size(width: number, height: number, dark = false): Promise<void> {
    await this.send('Emulation.setDeviceMetricsOverride', {
      width,
      height,
      deviceScaleFactor: 1,
      mobile: width < 600,
    });
    await this.send('Emulation.setEmulatedMedia', {
      features: [{ name: 'prefers-color-scheme', value: dark ? 'dark' : 'light' }],
    });
  }

  async go(url: string): Promise<void> {
    await this.send('Page.navigate', { url });
  }

  /** The value of an expression in the page, as JSON; a promise is awaited. */
  async evaluate<T>(expression: string): Promise<T> {
    const { result, exceptionDetails } = (await this.send('Runtime.evaluate', {
      expression,
      returnByValue: true,
      awaitPromise: true,
    })) as {
      result: { value: T };
      exceptionDetails?: { exception?: { description?: string } };
    };
    if (exceptionDetails !== undefined)
      throw new Error(exceptionDetails.exception?.description ?? 'the page threw');
    return result.value;
  }

  /** Waits until an expression in the page is true. */
  waitFor(expression: string, deadlineMs = 15_000): Promise<void> {
    return until(() => this.evaluate<boolean>(`Boolean(${expression})`), expression, deadlineMs);
  }

  async press(key: string): Promise<void> {
    await this.send('Input.dispatchKeyEvent', {
      type: 'keyDown',
      key,
      code: key,
      ...(key === 'Tab' ? { windowsVirtualKeyCode: 9 } : {}),
    });
    await this.send('Input.dispatchKeyEvent', { type: 'keyUp', key, code: key });
  }

  /** A PNG of the whole page, or of the part from `top` on. */
  async screenshot(width: number, top = 0, height?: number): Promise<Buffer> {
    const whole = await this.evaluate<number>('document.documentElement.scrollHeight');
    const clip = { x: 0, y: top, width, height: height ?? whole - top, scale: 1 };
    const { data } = (await this.send('Page.captureScreenshot', {
      captureBeyondViewport: true,
      clip,
    })) as { data: string };
    return Buffer.from(data, 'base64');
  }

  async close(): Promise<void> {
    const gone = new Promise((resolve) => this.#child.once('exit', resolve));
    // Asked to end, it takes its helpers along; they would go on writing into the profile.
    void this.send('Browser.close');
    await gone;
    this.#socket.close();
    rmSync(this.#profile, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  }

  #take(reply: Reply): void {
    for (const listener of this.#listeners.get(reply.method ?? '') ?? [])
      listener(reply.params ?? {});
    if (reply.id !== undefined) {
      const waiting = this.#pending.get(reply.id);
      this.#pending.delete(reply.id);
      if (reply.error === undefined) waiting?.resolve(reply.result ?? {});
      else waiting?.reject(new Error(reply.error.message));
    } else if (
      reply.method === 'Runtime.exceptionThrown' ||
      reply.method === 'Log.entryAdded' ||
      (reply.method === 'Runtime.consoleAPICalled' && reply.params?.['type'] === 'error')
    ) {
      this.complaints.push(JSON.stringify(reply.params));
    }
  }
}
