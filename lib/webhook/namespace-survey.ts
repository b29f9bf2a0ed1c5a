import type { Clock } from '../clock.ts';
import {
  NAMESPACES,
  type KubeClient,
  type KubeError,
  type KubeObject,
} from '../cluster/kubernetes/client.ts';
import { Informer } from '../cluster/kubernetes/informer.ts';
import { MODE_KEY, MODE_P2P } from './admission.ts';

/** Label of a namespace whose pods and pull secrets are left alone, with any value. */
const OPT_OUT_LABEL = 'shoal/opt-out';
/** Label of a namespace: `allow` lets its pull secrets be copied, any other value forbids it. */
const COPIES_LABEL = 'shoal/pull-secret-copies';

/** Where pull secrets are copied without COPIES_LABEL. */
export type CopyDefault = 'all' | 'labelled';

/** Says where new copies of pull secrets may be made. */
export interface CopyPolicy {
  /** Rejects with KubeError when the API has to be asked and fails. */
  mayCopy(namespace: string): Promise<boolean>;
}

interface NamespaceSurveyOptions {
  client: KubeClient;
  clock: Clock;
  random: () => number;
  copyDefault: CopyDefault;
  /** Namespaces without new copies, whatever their labels say. */
  excluded: ReadonlySet<string>;
  /** The only namespaces to watch; empty: all of them. */
  namespaces?: readonly string[];
  /** Names of namespaces that were added, changed or removed. */
  onChange: (names: string[]) => void;
  onError: (error: KubeError) => void;
}

/** Watches the labels of namespaces, to answer where pull secrets may be copied. */
export class NamespaceSurvey implements CopyPolicy {
  readonly #options: NamespaceSurveyOptions;
  readonly #informers: Informer<KubeObject>[];

  constructor(options: NamespaceSurveyOptions) {
    this.#options = options;
    const { namespaces = [] } = options;
    const fields = namespaces.map((name) => ({ fieldSelector: `metadata.name=${name}` }));
    this.#informers = (fields.length === 0 ? [{}] : fields).map(
      (field) =>
        new Informer<KubeObject>(
          { resource: NAMESPACES, namespace: null, metadataOnly: true, ...field },
          {
            ...options,
            onChange: (keys) => options.onChange(keys.map((key) => key.slice(1))),
          },
        ),
    );
  }

  get isSynced(): boolean {
    return this.#informers.every(({ isSynced }) => isSynced);
  }

  start(): void {
    for (const informer of this.#informers) informer.start();
  }

  async stop(): Promise<void> {
    await Promise.all(this.#informers.map((informer) => informer.stop()));
  }

  async mayCopy(name: string): Promise<boolean> {
    const { client, copyDefault, excluded } = this.#options;
    if (excluded.has(name)) return false;
    // The watch may not have reported a new namespace yet.
    const known =
      this.#informers.map((informer) => informer.get('', name)).find((found) => found !== null) ??
      (await client.get<KubeObject>(NAMESPACES, null, name));
    return known !== null && allowsCopies(known, copyDefault);
  }
}

/** Whether new copies may be made in a namespace. */
export function allowsCopies({ metadata }: KubeObject, copyDefault: CopyDefault): boolean {
  // The API refuses new objects in a namespace that is being removed.
  if (metadata.deletionTimestamp !== undefined) return false;
  const { labels = {} } = metadata;
  if (labels[OPT_OUT_LABEL] !== undefined) return false;
  const own = labels[COPIES_LABEL];
  if (own !== undefined) return own === 'allow';
  return copyDefault === 'all' || labels[MODE_KEY] === MODE_P2P;
}
