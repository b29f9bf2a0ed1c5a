import { ShoalError } from '../../errors.ts';
import type { Span } from '../../span.ts';
import type { CounterName } from '../../telemetry/metrics-list.ts';
import { ALIVE_PATH } from '../../wire/alive.ts';
import { formatHolding, parseFetch, type FetchQuery, type Holding } from '../../wire/fetch.ts';
import type { OriginTarget } from '../../origin-target.ts';
import { parseRecall, parseWords, WORDS_PATH } from '../../wire/recall.ts';
import { OFFERS_PATH, parseHolders, parseOffers, type HoldersQuery } from '../../wire/holders.ts';
import { parseMembers, type MembersQuery } from '../../wire/members.ts';
import { formatRefusal, REFUSED } from '../../wire/refusal.ts';
import { formatStatAnswer, parseStat, type StatAnswer, type StatQuery } from '../../wire/stat.ts';
import { parseTelling, SUMMARY_PATH, SWARM_PATH, type Telling } from '../../wire/summary.ts';
import { formatEdges, parseTree } from '../../wire/tree.ts';
import type { TreeEdge } from '../../telemetry/status.ts';
import type { RpcRequest } from '../../workers/messages.ts';

/** The parts of the node that have the answers. */
interface QuestionParts {
  /** See ChecksumDesk. */
  checksums: { stat(query: StatQuery): Promise<StatAnswer> };
  /** A stat was answered, `startMs` after the node's start. */
  answeredStat(query: StatQuery, answer: StatAnswer, startMs: number): void;
  /** See Holdings. */
  hold(
    query: FetchQuery,
    origin: OriginTarget | null,
    requestId: string,
    span?: Span,
  ): Promise<Holding>;
  /** See RegistryMemory. */
  memory: { answer(ids: readonly string[]): object; told(words: Record<string, unknown>): void };
  /** See HolderSearch. */
  holders: {
    told(node: string, keys: readonly string[]): void;
    answer(query: HoldersQuery): object;
  };
  /** See Summaries. */
  summaries: { accept(telling: Telling): void; answer(): object | null };
  /** See ShardTrees. */
  trees: { own(key: string, shard: number): TreeEdge[] };
  /** See Membership. */
  membership: { answer?(query: MembersQuery): Promise<object> };
  count(name: CounterName): void;
  nowMs(): number;
}

interface PeerReply {
  status: number;
  body: object;
}

/**
 * Answers the requests of other nodes, except those for the bytes of a shard (desk.ts). To add a
 * message, add its file to lib/wire and its case here.
 */
export class PeerQuestions {
  readonly #parts: QuestionParts;

  constructor(parts: QuestionParts) {
    this.#parts = parts;
  }

  /** Always resolves: a failure becomes a refusal. */
  async answer(request: RpcRequest, span?: Span): Promise<PeerReply> {
    try {
      return await this.#answer(request, span);
    } catch (thrown) {
      const error = ShoalError.from(thrown);
      return {
        status: error.code === 'BAD_REQUEST' ? error.status : REFUSED,
        body: formatRefusal(error.toWire()),
      };
    }
  }

  async #answer(
    { path, query, origin, words, requestId }: RpcRequest,
    span: Span | undefined,
  ): Promise<PeerReply> {
    const { hold, memory, holders, summaries, trees, membership, count } = this.#parts;
    switch (/^\/rpc\/[a-z]+/.exec(path)?.[0]) {
      case '/rpc/stat':
        return this.#stat(valid(parseStat(path, query), path));
      case '/rpc/fetch': {
        const holding = await hold(valid(parseFetch(path, query), path), origin, requestId, span);
        count('answer.fetch');
        return { status: 200, body: formatHolding(holding) };
      }
      case '/rpc/recall': {
        const ids = valid(parseRecall(path), path);
        count('answer.recall');
        return { status: 200, body: memory.answer(ids) };
      }
      case ALIVE_PATH:
        count('answer.alive');
        return { status: 200, body: {} };
      case WORDS_PATH:
        memory.told(valid(parseWords(words ?? ''), path));
        count('answer.words');
        return { status: 200, body: {} };
      case OFFERS_PATH: {
        const { node, keys } = valid(parseOffers(words ?? ''), path);
        holders.told(node, keys);
        count('answer.offers');
        return { status: 200, body: {} };
      }
      case '/rpc/holders': {
        const nodes = holders.answer(valid(parseHolders(path, query), path));
        count('answer.holders');
        return { status: 200, body: nodes };
      }
      case SUMMARY_PATH:
        summaries.accept(valid(parseTelling(words ?? ''), path));
        count('answer.summary');
        return { status: 200, body: {} };
      case SWARM_PATH: {
        const body = summaries.answer();
        count('answer.swarm');
        return body === null ? { status: 404, body: { kind: 'miss' } } : { status: 200, body };
      }
      case '/rpc/tree': {
        const { key, shard } = valid(parseTree(path), path);
        count('answer.swarm');
        return { status: 200, body: formatEdges(trees.own(key, shard)) };
      }
      case '/rpc/members': {
        const members = valid(parseMembers(path, query), path);
        const answer = (await membership.answer?.(members)) ?? {};
        count('answer.members');
        return { status: 200, body: answer };
      }
      default:
        throw new ShoalError('BAD_REQUEST', 'this node does not know the request');
    }
  }

  async #stat(query: StatQuery): Promise<PeerReply> {
    const { checksums, answeredStat, count, nowMs } = this.#parts;
    const startMs = nowMs();
    const answer = await checksums.stat(query);
    count('answer.stat');
    answeredStat(query, answer, startMs);
    return formatStatAnswer(answer);
  }
}

/** Throws BAD_REQUEST for a request that could not be parsed. */
function valid<T>(query: T | null, path: string): T {
  if (query !== null) return query;
  throw new ShoalError('BAD_REQUEST', `not a valid request: ${path.slice(0, 60)}`);
}
