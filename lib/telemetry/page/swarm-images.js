import { bar, byId, html } from './elements.js';
import { formatBytes, shortBlob } from './format.js';
import { progressText } from './swarm-words.js';

const NAMES_SHOWN = 40;
const opened = new Set();

/** Each image with how many nodes have it, and which when it is opened. */
export function showImages({ images, nodes }) {
  const items = images.map((entry, at) => {
    const { image, digest, sizeBytes, have, pulling, failed } = entry;
    const without = nodes.length - have - pulling - failed;
    const counts = [
      [have, 'have it'],
      [pulling, pulling === 1 ? 'pulls it' : 'pull it'],
      [failed, 'failed'],
      [without, 'without it'],
    ].filter(([count]) => count > 0);
    const key = `${image} ${digest}`;
    const who = html('details', opened.has(key) ? { open: '' } : {}, html('summary', {}, 'Who'));
    if (opened.has(key)) who.append(lists(nodes, at));
    who.addEventListener('toggle', () => {
      if (who.open === opened.has(key)) return;
      if (who.open) opened.add(key);
      else opened.delete(key);
      if (who.open) who.append(lists(nodes, at));
    });
    return html(
      'li',
      {},
      html(
        'div',
        { class: 'row' },
        html('span', { class: 'mono' }, image),
        html(
          'span',
          { class: 'sub' },
          digest === null ? '' : `${shortBlob(digest)}, `,
          sizeBytes === null ? 'size not known' : formatBytes(sizeBytes),
        ),
      ),
      bar(
        [
          ['have', have / nodes.length],
          ['pulls', pulling / nodes.length],
          ['failed', failed / nodes.length],
        ],
        { 'aria-hidden': 'true' },
      ),
      html('p', { class: 'sub' }, counts.map(([count, word]) => `${count} ${word}`).join(', ')),
      who,
    );
  });
  const list = byId('images');
  const focused = document.activeElement?.closest('#images li');
  const at = focused === null || focused === undefined ? -1 : [...list.children].indexOf(focused);
  list.replaceChildren(
    ...(items.length > 0
      ? items
      : [html('li', { class: 'quiet' }, 'No node has pulled an image yet.')]),
  );
  list.children[at]?.querySelector('summary')?.focus();
}

function lists(nodes, at) {
  const of = (wanted) =>
    nodes.filter((node) => wanted(node.images.find(({ image }) => image === at)));
  const groups = [
    ['Failed', of((own) => own?.failed)],
    ['Pulling', of((own) => own?.running)],
    ['Have it', of((own) => own !== undefined && !own.running && !own.failed)],
    ['Without it', of((own) => own === undefined)],
  ];
  return html(
    'dl',
    { class: 'who' },
    groups
      .filter(([, found]) => found.length > 0)
      .map(([name, found]) => [
        html('dt', {}, `${name} (${found.length})`),
        html(
          'dd',
          { class: 'mono' },
          found
            .slice(0, NAMES_SHOWN)
            .map((node) =>
              name === 'Pulling' ? `${node.node} ${progressText(node, at)}` : node.node,
            )
            .join(', ') +
            (found.length > NAMES_SHOWN ? `, and ${found.length - NAMES_SHOWN} more` : ''),
        ),
      ]),
  );
}
