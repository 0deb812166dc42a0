import { existsSync, globSync, readFileSync } from 'node:fs';
import path from 'node:path';

/*
 * Checks that documents are true about the repository: relative links lead to a file and to one of its headings, and paths
 * in backticks exist.
 */
const documents = globSync(['*.md', '{docs,bench}/**/*.md']).sort();
const found = documents.flatMap((file) => findBroken(file, readFileSync(file, 'utf8')));
for (const line of found) console.error(line);
if (found.length > 0) process.exitCode = 1;

function findBroken(file: string, text: string): string[] {
  const prose = text.replace(/^```.*?^```$/gms, '');
  const links = [...prose.matchAll(/\]\((?!https?:)([^)\s]+)\)/g)].map(([, target]) => target!);
  const paths = [...prose.matchAll(/`((?:src|test|docs|tools|proto|bench|deploy|gen)\/[\w./-]*)`/g)].map(
    ([, target]) => target!,
  );
  return [
    ...links.filter((target) => !leadsSomewhere(file, target)).map((target) => `${file}: broken link ${target}`),
    ...paths.filter((target) => !existsSync(target)).map((target) => `${file}: there is no ${target}`),
  ];
}

function leadsSomewhere(from: string, target: string): boolean {
  const [to = '', anchor] = target.split('#', 2);
  const file = to ? path.join(path.dirname(from), to) : from;
  if (!existsSync(file)) return false;
  return !anchor || headingsOf(readFileSync(file, 'utf8')).includes(anchor);
}

/** The anchors that GitHub gives to the headings of a document. */
function headingsOf(text: string): string[] {
  return [...text.matchAll(/^#{1,6} (.+)$/gm)].map(([, heading]) =>
    heading!
      .toLowerCase()
      .replace(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  );
}
