// The look of the report: light and dark by the reader's own setting, one column on a telephone, up to three on a desk. No
// font, script or picture comes from elsewhere.
import { cssVariables, DARK, LIGHT } from "./palette.js";

export const STYLE = `
:root { color-scheme: light dark; ${cssVariables(LIGHT)} --page: #f5f6f8; --good: #1a7f4e; }
@media (prefers-color-scheme: dark) { :root { ${cssVariables(DARK)} --page: #12161b; --good: #5fd39b; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 3rem; max-width: 78rem; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, "DejaVu Sans", sans-serif; }
h1 { margin: 0; font-size: 1.6rem; line-height: 1.2; }
h2 { margin: 2.5rem 0 0.25rem; font-size: 1.25rem; }
h3 { margin: 0; font-size: 1rem; }
p { margin: 0.25rem 0; }
a { color: inherit; }
.muted, figcaption, footer { color: var(--muted); font-size: 0.85rem; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 15rem), 1fr)); gap: 0.5rem 1.5rem;
  margin: 1rem 0; padding: 0; }
.facts div { border-top: 1px solid var(--line); padding-top: 0.35rem; min-width: 0; overflow-wrap: anywhere; }
.facts dt { color: var(--muted); font-size: 0.8rem; }
.facts dd { margin: 0; }
nav { display: flex; flex-wrap: wrap; gap: 0.25rem 1rem; }
.alarm { border: 2px solid var(--alarm); border-radius: 8px; padding: 0.75rem 1rem; margin: 1rem 0; background: var(--surface); }
.alarm h2, .alarm strong { color: var(--alarm); }
.alarm h2 { margin: 0; font-size: 1.05rem; }
.alarm ul { margin: 0.5rem 0 0; padding-left: 1.2rem; overflow-wrap: anywhere; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 23rem), 1fr)); gap: 1rem; margin-top: 1rem;
  align-items: start; }
.card { background: var(--surface); border: 1px solid var(--line); border-radius: 8px; padding: 0.9rem 1rem; min-width: 0; }
.wide { overflow-x: auto; }
figure { margin: 0.4rem 0 0.9rem; }
figure h4 { margin: 0.9rem 0 0; font-size: 0.9rem; }
figcaption { margin-bottom: 0.5rem; line-height: 1.35; }
figure svg { display: block; max-width: 100%; height: auto; }
table { border-collapse: collapse; font-size: 0.85rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.2rem 0.7rem 0.2rem 0; text-align: left; white-space: nowrap; border-top: 1px solid var(--line); }
thead th { border-top: 0; color: var(--muted); font-weight: normal; }
#targets td { white-space: normal; }
#targets td:first-child { min-width: 7rem; }
.number { text-align: right; }
summary { cursor: pointer; color: var(--muted); font-size: 0.85rem; }
.pass { color: var(--good); font-weight: 600; }
.short { color: var(--alarm); font-weight: 600; }
.swatch { display: inline-block; width: 0.7em; height: 0.7em; border-radius: 2px; margin-right: 0.45em; }
footer { margin-top: 2.5rem; border-top: 1px solid var(--line); padding-top: 0.75rem; max-width: 48rem; }
@media print { body { max-width: none; } .card { break-inside: avoid; } }
`;
