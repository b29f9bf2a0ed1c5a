/**
 * Counters of the small messages between nodes, apart from shards: see metrics-list.ts, which they
 * are a part of.
 */
export const messageFamilies = [
  {
    name: 'shoal_memory_messages_total',
    help:
      'Recent registry responses exchanged with peers; told, untold: sent, not accepted; ' +
      'found, nothing: results of look-ups while a registry was down; crowded: rejected, ' +
      'too many passwords at once.',
    labels: ['result'],
    series: {
      'memory.told': { result: 'told' },
      'memory.untold': { result: 'untold' },
      'memory.found': { result: 'found' },
      'memory.nothing': { result: 'nothing' },
      'memory.crowded': { result: 'crowded' },
    },
  },
  {
    name: 'shoal_holder_messages_total',
    help:
      'Offers of whole blobs to other nodes and searches for them; told, untold: offers sent, ' +
      'not accepted; found, none: results of searches before a root or the origin is asked.',
    labels: ['result'],
    series: {
      'holders.told': { result: 'told' },
      'holders.untold': { result: 'untold' },
      'holders.found': { result: 'found' },
      'holders.none': { result: 'none' },
    },
  },
  {
    name: 'shoal_member_list_total',
    help:
      'How this node learns of the members: confirmed, changed: answers of another node; silent: ' +
      'no usable answer; watching: the node began to watch the Kubernetes API itself.',
    labels: ['result'],
    series: {
      'members.confirmed': { result: 'confirmed' },
      'members.changed': { result: 'changed' },
      'members.silent': { result: 'silent' },
      'members.watching': { result: 'watching' },
    },
  },
] as const;
