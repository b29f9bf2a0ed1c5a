/**
 * Texts that reach beyond the screen, or lie over each other, outside the parts that scroll by
 * themselves.
 */
export const MISPLACED = `(() => {
  const leaves = [...document.querySelectorAll('header *, main *, footer *')].filter((element) =>
    element.children.length === 0 && element.textContent.trim() !== '' &&
    element.checkVisibility() && !element.closest('.scroll, select, svg, noscript, thead'));
  const boxes = leaves
    .map((element) => ({ text: element.textContent, box: element.getBoundingClientRect() }))
    .filter(({ box }) => box.width > 0);
  const wide = document.documentElement.clientWidth;
  const bad = boxes
    .filter(({ box }) => box.left < 0 || box.right > wide)
    .map(({ text }) => 'cut: ' + text);
  boxes.forEach((a, i) => boxes.slice(i + 1).forEach((b) => {
    const across = Math.min(a.box.right, b.box.right) - Math.max(a.box.left, b.box.left);
    const down = Math.min(a.box.bottom, b.box.bottom) - Math.max(a.box.top, b.box.top);
    if (across > 1 && down > 3) bad.push('overlap: ' + a.text + ' | ' + b.text);
  }));
  for (const text of document.querySelectorAll('#history text')) {
    const box = text.getBoundingClientRect();
    if (box.left < 0 || box.right > wide + 1) bad.push('cut: ' + text.textContent);
  }
  if (document.documentElement.scrollWidth > wide) bad.push('the page scrolls sideways');
  return bad;
})()`;
