import { lookup } from 'node:dns';
import { Resolver as AresResolver } from 'node:dns/promises';
import { readFile } from 'node:fs/promises';
import {
  DNS_FILES_FRESH_MS,
  DNS_SECOND_FAMILY_MS,
  DNS_SYSTEM_LOOKUPS_MAX,
  DNS_TIMEOUT_MS,
  DNS_TRIES,
} from './limits.ts';

/** All addresses of a name. Rejects with a `code` as dns.lookup does. */
export type Resolver = (hostname: string) => Promise<string[]>;

/** What resolving needs from outside. */
export interface ResolverTools {
  readFile(path: string): Promise<string>;
  /** One DNS query for one type of record. */
  query(name: string, family: 4 | 6): Promise<string[]>;
  /** The system's own resolver, for names that only it knows (nsswitch.conf). */
  system(name: string): Promise<string[]>;
  nowMs(): number;
  after(ms: number): Promise<void>;
}

interface Files {
  hosts: Map<string, string[]>;
  search: string[];
  /** A name with fewer dots is tried with the search domains first. */
  dotsMin: number;
}

/**
 * Resolves names without the threads of libuv. getaddrinfo holds one of these few threads per
 * name for as long as a name server says nothing, and the disk needs the same threads. /etc/hosts
 * and the search list of /etc/resolv.conf count as they do for getaddrinfo; what DNS does not know
 * is asked of the system, few names at a time.
 */
export class NameResolver {
  readonly #tools: ResolverTools;
  readonly #running = new Map<string, Promise<string[]>>();
  #files: Promise<Files> | null = null;
  #filesDueMs = 0;
  #systemLookups = 0;

  constructor(tools: ResolverTools = systemTools()) {
    this.#tools = tools;
  }

  /** Concurrent calls for one name share one look-up. */
  readonly resolve: Resolver = (hostname) => {
    const name = hostname.toLowerCase();
    let running = this.#running.get(name);
    if (running === undefined) {
      running = this.#resolve(name).finally(() => this.#running.delete(name));
      this.#running.set(name, running);
    }
    return running;
  };

  async #resolve(name: string): Promise<string[]> {
    const { hosts, search, dotsMin } = await this.#read();
    const listed = hosts.get(name.replace(/\.$/, ''));
    if (listed !== undefined) return listed;
    let failure: unknown;
    for (const candidate of candidates(name, search, dotsMin)) {
      try {
        return await this.#query(candidate);
      } catch (thrown) {
        failure = thrown;
        if (!isUnknown(thrown)) throw thrown;
      }
    }
    if (this.#systemLookups >= DNS_SYSTEM_LOOKUPS_MAX) throw failure;
    this.#systemLookups++;
    try {
      return await this.#tools.system(name);
    } finally {
      this.#systemLookups--;
    }
  }

  /** Both families at once; the second one is waited for only briefly (RFC 8305, 3). */
  async #query(name: string): Promise<string[]> {
    const { query, after } = this.#tools;
    const v4 = query(name, 4);
    const v6 = query(name, 6);
    const bounded = (one: Promise<string[]>, other: Promise<string[]>): Promise<string[]> => {
      const late = other.then(
        () => after(DNS_SECOND_FAMILY_MS).then(() => []),
        () => one,
      );
      return Promise.race([one, late]);
    };
    const [first, second] = await Promise.allSettled([bounded(v4, v6), bounded(v6, v4)]);
    const found = [first, second].flatMap((each) =>
      each.status === 'fulfilled' ? each.value : [],
    );
    if (found.length > 0) return found;
    throw first.status === 'rejected' ? first.reason : notFound(name);
  }

  #read(): Promise<Files> {
    const nowMs = this.#tools.nowMs();
    if (this.#files === null || nowMs >= this.#filesDueMs) {
      this.#filesDueMs = nowMs + DNS_FILES_FRESH_MS;
      this.#files = readFiles(this.#tools);
    }
    return this.#files;
  }
}

/** The names to ask for, in order, as resolv.conf(5) says. */
function candidates(name: string, search: readonly string[], dotsMin: number): string[] {
  if (name.endsWith('.')) return [name.slice(0, -1)];
  const searched = search.map((domain) => `${name}.${domain}`);
  return name.split('.').length - 1 >= dotsMin ? [name, ...searched] : [...searched, name];
}

async function readFiles(tools: ResolverTools): Promise<Files> {
  // A missing file is an empty one: the resolver has its defaults then.
  const text = (path: string): Promise<string> => tools.readFile(path).catch(() => '');
  const [hostsText, resolvText] = await Promise.all([text('/etc/hosts'), text('/etc/resolv.conf')]);
  const hosts = new Map<string, string[]>();
  for (const line of hostsText.split('\n')) {
    const [address, ...names] = line.replace(/#.*/, '').trim().split(/\s+/);
    if (address === undefined || address === '') continue;
    for (const name of names) {
      const known = hosts.get(name.toLowerCase());
      if (known === undefined) hosts.set(name.toLowerCase(), [address]);
      else known.push(address);
    }
  }
  const lines = resolvText.split('\n').map((line) => line.trim().split(/\s+/));
  const search = lines.findLast(([word]) => word === 'search' || word === 'domain')?.slice(1) ?? [];
  const dots = lines
    .filter(([word]) => word === 'options')
    .flat()
    .findLast((option) => /^ndots:\d+$/.test(option));
  return {
    hosts,
    search: search.map((domain) => domain.replace(/\.$/, '')).filter((domain) => domain !== ''),
    dotsMin: dots === undefined ? 1 : Number(dots.slice('ndots:'.length)),
  };
}

/** The name server has answered that there is no such name, or no address of it. */
function isUnknown(thrown: unknown): boolean {
  const code = (thrown as { code?: unknown } | null)?.code;
  return code === 'ENOTFOUND' || code === 'ENODATA';
}

function notFound(name: string): Error {
  return Object.assign(new Error(`no address of ${name}`), { code: 'ENOTFOUND' });
}

function systemTools(): ResolverTools {
  return {
    readFile: (path) => readFile(path, 'utf8'),
    query(name, family) {
      // A new resolver reads /etc/resolv.conf anew.
      const ares = new AresResolver({ timeout: DNS_TIMEOUT_MS, tries: DNS_TRIES });
      return family === 4 ? ares.resolve4(name) : ares.resolve6(name);
    },
    system: (name) =>
      new Promise((resolve, reject) => {
        lookup(name, { all: true, order: 'verbatim' }, (error, found) =>
          error === null ? resolve(found.map((each) => each.address)) : reject(error),
        );
      }),
    nowMs: () => performance.now(),
    after: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
  };
}
