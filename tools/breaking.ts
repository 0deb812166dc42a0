import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

/*
 * Compares proto/ with the last release, the highest git tag v*, and fails when a client of that release would break.
 * The release is unpacked into a temporary folder, because buf refuses a repository that belongs to another user.
 */
const release = findLastRelease();
if (release) compareWith(release);
else console.log('nothing to compare with: there is no release tag here');

function findLastRelease(): string | undefined {
  // Without this, an unpacked archive would be taken for a part of whatever repository lies around it.
  if (!existsSync('.git')) return undefined;
  const order = ['-c', 'versionsort.suffix=-', 'tag', '--list', 'v[0-9]*', '--sort=-version:refname'];
  return git(order).toString().split('\n')[0];
}

function compareWith(tag: string): void {
  const past = mkdtempSync(path.join(tmpdir(), 'gatehouse-release-'));
  try {
    execFileSync('tar', ['-x', '-C', past], { input: git(['archive', tag, 'proto', 'third_party', 'buf.yaml']) });
    const buf = spawnSync('node_modules/.bin/buf', ['breaking', '--against', past], { stdio: 'inherit' });
    console.log(`compared with ${tag}`);
    process.exitCode = buf.status ?? 1;
  } finally {
    rmSync(past, { recursive: true, force: true });
  }
}

// The repository may belong to another user, in a container for one.
function git(args: string[]): Buffer {
  return execFileSync('git', ['-c', 'safe.directory=*', ...args], { maxBuffer: 1 << 26 });
}
