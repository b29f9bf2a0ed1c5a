// Elements are built, never parsed: whatever a node's status holds stays text.

import { formatBytes } from './format.js';

const SVG = 'http://www.w3.org/2000/svg';

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes))
    if (value !== undefined && value !== false) element.setAttribute(name, value);
  for (const child of children.flat(Infinity))
    if (child !== undefined && child !== null) element.append(child);
  return element;
}

export function html(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

export function byId(id) {
  return document.getElementById(id);
}

export function setText(id, text) {
  const element = byId(id);
  if (element.textContent !== text) element.textContent = text;
}

/** A number of bytes in words, with the exact number to be read on hover and by programs. */
export function setBytes(id, bytes) {
  setText(id, formatBytes(bytes));
  const title = `${bytes} bytes`;
  if (byId(id).title !== title) byId(id).title = title;
}

/** Makes `wanted` the children of `host`, in this order; what is in place is not touched. */
export function arrange(host, wanted) {
  const kept = new Set(wanted);
  for (const child of [...host.children]) if (!kept.has(child)) child.remove();
  let next = host.firstElementChild;
  for (const element of wanted)
    if (element === next) next = next.nextElementSibling;
    else host.insertBefore(element, next);
}

/** A horizontal bar of parts, each a class that colours it and a share of the width. */
export function bar(parts, attributes = {}) {
  const inner = parts.map(([name, share]) => {
    const part = html('i', { class: name });
    part.style.width = `${Math.min(100, Math.max(0, share * 100))}%`;
    return part;
  });
  return html('div', { class: 'bar', ...attributes }, inner);
}
