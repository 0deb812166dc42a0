import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { launchProgram, prepare } from './cli-program.ts';

const terminal = ['/usr/bin/script', '/bin/script'].find((each) => existsSync(each));

if (!terminal || process.platform !== 'linux')
  console.warn('NOT TRIED: the command line tool on a terminal, because this machine has no script(1) of util-linux');

/** The login on a terminal, with programs in its PATH that note their arguments, and what the terminal shows. */
async function onTerminal({ openers = [] as string[], settings = {} as Record<string, string>, args = ['login'] }) {
  const prepared = await prepare();
  const bin = path.join(path.dirname(path.dirname(prepared.file)), 'bin');
  const opened = path.join(bin, 'opened');
  mkdirSync(bin);
  for (const name of openers) {
    const file = path.join(bin, name);
    writeFileSync(file, `#!/bin/sh\necho "$@" >> ${opened}\nexec /bin/sleep 20\n`);
    chmodSync(file, 0o755);
  }
  const env = {
    ...prepared.env,
    PATH: bin,
    SSH_CONNECTION: '',
    SSH_TTY: '',
    DISPLAY: '',
    WAYLAND_DISPLAY: '',
    BROWSER: '',
    TERM: 'xterm',
    SHELL: '/bin/sh',
    ...settings,
  };
  const command = `stty cols 80; exec ${process.execPath} examples/cli.mjs ${args.join(' ')}`;
  const absolute = command.replace('stty', '/usr/bin/stty');
  const { child, ended } = launchProgram(['-qec', absolute, '/dev/null'], env, [terminal!]);
  let shown = '';
  child.stdout.on('data', (text) => {
    shown += text;
  });
  const link = async () => {
    const url = () => /http:\/\/gatehouse\.test\/device\?user_code=[\w-]+(?=\r)/.exec(shown)?.[0];
    await expect.poll(url, { timeout: 15_000 }).toBeDefined();
    return url()!;
  };
  return {
    prepared,
    child,
    ended,
    link,
    shown: () => shown,
    opened: () => (existsSync(opened) ? readFileSync(opened, 'utf8') : ''),
    async approve() {
      await prepared.approve(new URL(await link()).searchParams.get('user_code')!);
      return ended;
    },
  };
}

type Options = Parameters<typeof onTerminal>[0];

describe.runIf(terminal)('a login on a terminal', { timeout: 40_000 }, () => {
  test('shows the link as a QR code too, and the time that is left', async () => {
    const { approve, link, shown } = await onTerminal({});
    await link();
    await expect.poll(shown, { timeout: 5000 }).toMatch(/[⠙⠹⠸] Waiting for the approval, 1[45]:\d\d left/);
    // White on black: as many rows as half the modules.
    expect(shown().split('\u001b[97;40m').length).toBeGreaterThan(14);
    expect(shown()).toMatch(/[█▀▄ ]{30}/);
    expect((await approve()).code).toBe(0);
    expect(shown()).toContain('Signed in as ada@example.org. The tokens are in /');
  });

  test.each<[opener: string, options: Options, failure: number]>([
    ['without an opener', {}, 0],
    ['with an opener that fails', { settings: { BROWSER: '/bin/false' } }, 1],
    ['with an opener that does not exist', { settings: { BROWSER: '/no/such/browser' } }, 1],
    ['with an opener that blocks', { openers: ['xdg-open'], settings: { DISPLAY: ':0' } }, 0],
  ])('goes on %s, which is one line at most', async (_, options, failures) => {
    const { approve, shown } = await onTerminal(options);
    expect((await approve()).code).toBe(0);
    expect(shown().match(/No browser could be started/g) ?? []).toHaveLength(failures);
  });

  test('opens the link after it was displayed', async () => {
    const cases: { openers: string[]; settings: Record<string, string> }[] = [
      { openers: ['xdg-open'], settings: { DISPLAY: ':0' } },
      { openers: ['my-browser'], settings: { BROWSER: 'my-browser --new %s' } },
    ];
    for (const options of cases) {
      const { link, opened, approve } = await onTerminal(options);
      const url = await link();
      const expected = options.settings.BROWSER ? `--new ${url}\n` : `${url}\n`;
      await expect.poll(opened, { timeout: 5000 }).toBe(expected);
      expect((await approve()).code).toBe(0);
    }
  });

  test.each<[where: string, options: Options]>([
    ['over SSH', { settings: { SSH_CONNECTION: '192.0.2.1 1 192.0.2.2 22', DISPLAY: ':0' } }],
    ['in a text browser', { settings: { BROWSER: 'lynx', DISPLAY: ':0' } }],
    ['with --no-browser', { settings: { DISPLAY: ':0' }, args: ['login', '--no-browser'] }],
  ])('opens nothing %s', async (_, options) => {
    const { link, opened, approve } = await onTerminal({ ...options, openers: ['xdg-open', 'lynx'] });
    await link();
    await sleep(500);
    expect((await approve()).code).toBe(0);
    expect(opened()).toBe('');
  });
});
