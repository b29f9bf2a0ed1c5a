import assert from 'node:assert/strict';
import type { Member, Membership, MembershipView } from '../../lib/cluster/membership.ts';

/** One kind of membership as the suite drives it. */
interface Subject {
  membership: Membership;
  /** Makes the source say this, and resolves once the membership could know. */
  change: (view: { agents: string[]; roots: string[] }) => Promise<void>;
  /** Makes the source fail, or answer again. */
  fail: (failing: boolean) => Promise<void>;
  dispose?: () => Promise<void>;
}

const nodesOf = (members: Member[]): string[] => members.map(({ node }) => node);

/**
 * What every membership keeps (lib/cluster/membership.ts). `make` gives one whose source says:
 * agents .1 and .2, root .9, all on port 65002.
 */
export function describeMembership(
  name: string,
  make: () => Promise<Pick<Subject, 'membership' | 'dispose'>>,
): void {
  describe(`membership: ${name}`, () => {
    it('reports the first view, sorted, before start resolves; none after stop', async () => {
      const { membership, dispose } = await make();
      const views: MembershipView[] = [];
      await membership.start((view) => views.push(view));
      assert.equal(views.length, 1);
      assert.deepEqual(nodesOf(views[0]!.agents), ['10.0.0.1:65002', '10.0.0.2:65002']);
      assert.deepEqual(nodesOf(views[0]!.roots), ['10.0.0.9:65002']);
      await membership.stop();
      await membership.stop();
      await dispose?.();
    });

    it('may be stopped before it was started', async () => {
      const { membership, dispose } = await make();
      await membership.stop();
      await dispose?.();
    });
  });
}

/** The same, of a membership whose source can change and fail. */
export function describeLiveMembership(name: string, make: () => Promise<Subject>): void {
  describeMembership(name, make);
  describe(`live membership: ${name}`, () => {
    let subject: Subject;
    let views: MembershipView[];
    const last = (): MembershipView => views.at(-1)!;

    beforeEach(async () => {
      subject = await make();
      views = [];
    });
    afterEach(async () => {
      await subject.membership.stop();
      await subject.dispose?.();
    });

    it('reports added and removed nodes, and nothing without a change', async () => {
      await subject.membership.start((view) => views.push(view));
      await subject.change({ agents: ['10.0.0.1', '10.0.0.2', '10.0.0.3'], roots: ['10.0.0.9'] });
      assert.deepEqual(nodesOf(last().agents), [
        '10.0.0.1:65002',
        '10.0.0.2:65002',
        '10.0.0.3:65002',
      ]);
      await subject.change({ agents: ['10.0.0.3'], roots: [] });
      assert.deepEqual(nodesOf(last().agents), ['10.0.0.3:65002']);
      assert.deepEqual(last().roots, []);
      const told = views.length;
      await subject.change({ agents: ['10.0.0.3'], roots: [] });
      assert.equal(views.length, told);
    });

    it('counts a node that is agent and root as a root', async () => {
      await subject.membership.start((view) => views.push(view));
      await subject.change({ agents: ['10.0.0.1', '10.0.0.9'], roots: ['10.0.0.9'] });
      assert.deepEqual(
        [nodesOf(last().agents), nodesOf(last().roots)],
        [['10.0.0.1:65002'], ['10.0.0.9:65002']],
      );
    });

    it('keeps the last view while its source fails, and resumes afterwards', async () => {
      await subject.membership.start((view) => views.push(view));
      await subject.fail(true);
      assert.equal(views.length, 1);
      await subject.fail(false);
      await subject.change({ agents: ['10.0.0.1'], roots: ['10.0.0.9'] });
      assert.deepEqual(nodesOf(last().agents), ['10.0.0.1:65002']);
    });

    it('reports nothing after stop', async () => {
      await subject.membership.start((view) => views.push(view));
      await subject.membership.stop();
      const told = views.length;
      await subject.change({ agents: ['10.0.0.7'], roots: [] }).catch(() => {});
      assert.equal(views.length, told);
    });
  });
}
