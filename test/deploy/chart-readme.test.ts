import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { CHART, readme } from '../../deploy/render.ts';

describe("the chart's README", () => {
  it('matches the schema', () =>
    assert.equal(readFileSync(`${CHART}README.md`, 'utf8'), readme(), 'run node deploy/render.ts'));

  it('describes every value', () => {
    const leaves = (value: unknown, path: string): string[] =>
      typeof value === 'object' &&
      value !== null &&
      !Array.isArray(value) &&
      Object.keys(value).length > 0
        ? Object.entries(value).flatMap(([key, child]) =>
            leaves(child, path === '' ? key : `${path}.${key}`),
          )
        : [path];
    const text = readme();
    const documented = [...text.matchAll(/^\| `([^`]*)` \|.*\| (.*) \|$/gm)].map(
      ([, key, meaning]) => {
        assert.ok(meaning!.length > 5, `${key} has no meaning`);
        return key!;
      },
    );
    for (const leaf of leaves(parse(readFileSync(`${CHART}values.yaml`, 'utf8')), '')) {
      assert.ok(
        documented.some((key) => leaf === key || leaf.startsWith(`${key}.`)),
        `${leaf} is not documented`,
      );
    }
  });
});
