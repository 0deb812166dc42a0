import { spawn } from 'node:child_process';
import path from 'node:path';
import { styleText } from 'node:util';

/* npm run check: everything that can be wrong without a test seeing it. All at once, one line each. */
const checks: Record<string, string[]> = {
  'format and lint': ['biome', 'check', '--error-on-warnings'],
  types: ['tsc', '-p', '.'],
  'proto lint': ['buf', 'lint'],
  'proto format': ['buf', 'format', '--diff', '--exit-code', 'proto'],
  'generated code': ['node', 'tools/generate.ts', '--check'],
  references: ['node', 'tools/reference/write.ts', '--check'],
  'tables of settings': ['node', 'tools/config-table.ts', '--check'],
  'help of commands': ['node', 'tools/commands-document.ts', '--check'],
  'breaking changes': ['node', 'tools/breaking.ts'],
  words: ['node', 'tools/words.ts'],
  links: ['node', 'tools/links.ts'],
  'commit subjects': ['node', 'tools/commit-subjects.ts'],
};

const env = { ...process.env, PATH: [path.resolve('node_modules/.bin'), process.env.PATH].join(path.delimiter) };

const results = await Promise.all(Object.entries(checks).map(([name, command]) => runCheck(name, command)));
if (results.includes(false)) process.exitCode = 1;

async function runCheck(name: string, [command, ...args]: string[]): Promise<boolean> {
  const start = performance.now();
  const { passed, output } = await run(command!, args);
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  const mark = passed ? styleText('green', 'ok  ') : styleText('red', 'FAIL');
  const remark = passed ? lastLine(output) : '';
  console.log(`${mark} ${name.padEnd(18)} ${seconds.padStart(5)} s  ${remark}`.trimEnd());
  if (!passed) console.log(output.trimEnd());
  return passed;
}

function run(command: string, args: string[]): Promise<{ passed: boolean; output: string }> {
  return new Promise((resolve) => {
    const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text) => (output += text));
    child.on('error', (error) => resolve({ passed: false, output: error.message }));
    child.on('close', (code) => resolve({ passed: code === 0, output }));
  });
}

function lastLine(output: string): string {
  return output.trimEnd().split('\n').at(-1) ?? '';
}
