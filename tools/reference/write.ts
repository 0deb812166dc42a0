import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { apiPage } from './api-page.ts';
import { mfaPage } from './assurance-table.ts';
import { readContract } from './contract.ts';
import { errorsPage } from './errors-page.ts';

/*
 * node tools/reference/write.ts          writes docs/api.md, docs/errors.md and the table in docs/mfa.md from the protos and the table of reasons
 * node tools/reference/write.ts --check  writes nothing; fails when one of them is not what it would write
 */
const contract = readContract();
const pages = {
  'docs/api.md': apiPage(contract),
  'docs/errors.md': errorsPage(contract),
  'docs/mfa.md': mfaPage(contract, readFileSync('docs/mfa.md', 'utf8')),
};
const stale = Object.entries(pages).filter(([file, text]) => !existsSync(file) || readFileSync(file, 'utf8') !== text);

if (!process.argv.includes('--check')) {
  for (const [file, text] of stale) writeFileSync(file, text);
} else if (stale.length > 0) {
  console.error(`not what npm run generate writes:\n${stale.map(([file]) => `  ${file}`).join('\n')}`);
  process.exitCode = 1;
}
