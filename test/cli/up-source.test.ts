import assert from 'node:assert/strict';
import { namedImage } from '../../lib/commands/up-source.ts';

describe('the image that `shoal up` is told to pull', () => {
  const named = (registry?: string, image?: string) =>
    namedImage({
      nodes: 1,
      once: true,
      json: false,
      ...(registry !== undefined && { registry }),
      ...(image !== undefined && { image }),
    });

  it('is the embedded one when none is named', () => assert.equal(named(), null));

  it('is split into registry, repository and reference', () => {
    assert.deepEqual(named('http://127.0.0.1:5000/', 'team/app:v1'), {
      upstream: 'http://127.0.0.1:5000',
      repository: 'team/app',
      reference: 'v1',
    });
  });

  it('is found on Docker Hub under the names people use', () => {
    assert.deepEqual(named('https://docker.io', 'nginx'), {
      upstream: 'https://registry-1.docker.io',
      repository: 'library/nginx',
      reference: 'latest',
    });
    assert.equal(named('https://docker.io', 'team/app')?.repository, 'team/app');
  });
});
