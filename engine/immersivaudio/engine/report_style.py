# SPDX-License-Identifier: AGPL-3.0-or-later
"""How the report looks: light and dark by the reader's own setting, nothing fetched."""

STYLE = """
:root{color-scheme:light dark;--bg:#f6f5f2;--card:#fff;--ink:#1d1f23;--soft:#6b7078;--line:#e3e1dc;
--dialogue:#8a8f98;--ambience:#1f8a83;--foley:#c77a0a;--effects:#c2405e;--music:#6b55c9;--warn:#fff4dc;--edge:#e5b95c}
@media (prefers-color-scheme:dark){:root{--bg:#141619;--card:#1c1f24;--ink:#e8e9eb;--soft:#969ca6;--line:#2c3037;
--dialogue:#8d939d;--ambience:#4cc0b6;--foley:#f0a93b;--effects:#f2788f;--music:#a896ff;--warn:#2d2617;--edge:#7d6427}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:1240px;margin:0 auto;padding:32px 20px 64px}
h1{font-size:28px;line-height:1.2;margin:0;overflow-wrap:anywhere}h2{font-size:15px;margin:0 0 10px}
.brand{margin:0;color:var(--soft);letter-spacing:.08em;text-transform:uppercase;font-size:11px}
.sub{margin:4px 0 20px;color:var(--soft)}
section{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:16px 18px;margin:0 0 16px}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(170px,1fr));gap:12px;padding:0;background:none;border:0}
.tile{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:12px 14px}
.tile span,small{color:var(--soft);font-size:12px}.tile b{display:block;font-size:20px;font-variant-numeric:tabular-nums}
small{display:block}.warn{background:var(--warn);border-color:var(--edge)}ul{margin:0;padding-left:18px}
.lanes{padding:12px 12px 6px}.lanes svg{display:block;width:100%;height:auto}
.legend{margin:6px 4px;color:var(--soft);font-size:12px}.scroll{overflow-x:auto}
table{width:100%;border-collapse:collapse}th{text-align:left;font-weight:600;font-size:12px;color:var(--soft)}
th,td{padding:7px 12px 7px 0;border-bottom:1px solid var(--line);vertical-align:top}tr:last-child td{border-bottom:0}
td{overflow-wrap:anywhere}.num{font-variant-numeric:tabular-nums;white-space:nowrap}
.dot{display:inline-block;width:9px;height:9px;border-radius:3px;margin-right:7px}
.dot.ambience{background:var(--ambience)}.dot.foley{background:var(--foley)}
.dot.effects{background:var(--effects)}.dot.music{background:var(--music)}
svg text{font:11px system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;fill:var(--soft)}svg .name{font-weight:600;fill:var(--ink)}
svg .over{font-size:9px;letter-spacing:.05em}svg .cue text{fill:var(--ink);font-size:10px}.dialogue{color:var(--dialogue)}.ambience{color:var(--ambience)}
.foley{color:var(--foley)}.effects{color:var(--effects)}.music{color:var(--music)}
.wave{fill:currentColor;opacity:.38}.body{fill:currentColor;opacity:.75}.mark rect{fill:currentColor;opacity:.22}
.mark:hover rect{opacity:.5}.hit{stroke:currentColor;stroke-width:1.2}.duck{fill:none;stroke:var(--ink);stroke-width:1}
.grid{stroke:var(--line)}.said{fill:var(--dialogue);opacity:.16}.quiet{fill:var(--soft);opacity:.1}
@media print{body{background:#fff}section,.tile{break-inside:avoid}}
"""
