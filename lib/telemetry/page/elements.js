// Elements are built, never parsed: whatever a node's status holds stays text.

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

/** A horizontal bar of parts, each a class that colours it and a share of the width. */
export function bar(parts, attributes = {}) {
  const inner = parts.map(([name, share]) => {
    const part = html('i', { class: name });
    part.style.width = `${Math.min(100, Math.max(0, share * 100))}%`;
    return part;
  });
  return html('div', { class: 'bar', ...attributes }, inner);
}
