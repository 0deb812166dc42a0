import { spawn } from 'node:child_process';
import path from 'node:path';

type Command = readonly [program: string, ...args: string[]];

/** Browsers that would take over the terminal, and cover the code. */
const inTerminal = ['lynx', 'links', 'links2', 'elinks', 'w3m', 'www-browser', 'browsh', 'carbonyl'];

/**
 * Opens the page in the user's browser, if there seems to be one. Waits for nothing and never fails: the URL is displayed
 * anyway. `onFailure` is called once if the browser cannot be started.
 */
export function openBrowser(url: string, onFailure: () => void): void {
  const command = browserOf(process.env);
  if (!command || !/^https?:\/\//.test(url)) return;
  const [program, ...args] = command;
  const isPlaced = args.some((each) => each.includes('%s'));
  const all = isPlaced ? args.map((each) => each.replaceAll('%s', url)) : [...args, url];
  const child = spawn(program, all, { stdio: 'ignore', detached: true });
  child.once('error', onFailure);
  child.once('exit', (code) => code && onFailure());
  child.unref();
}

function browserOf({ SSH_CONNECTION, SSH_TTY, BROWSER, DISPLAY, WAYLAND_DISPLAY }: NodeJS.ProcessEnv) {
  // On another machine the browser would open where nobody sees it.
  if (SSH_CONNECTION || SSH_TTY) return undefined;
  if (BROWSER) return configured(BROWSER);
  if (process.platform === 'darwin') return ['open'] as const;
  // Not `start`: the shell would interpret the & of a URL.
  if (process.platform === 'win32') return ['rundll32', 'url.dll,FileProtocolHandler'] as const;
  return DISPLAY || WAYLAND_DISPLAY ? (['xdg-open'] as const) : undefined;
}

/** The first command of BROWSER, which may be a list and have %s for the URL. */
function configured(browser: string): Command | undefined {
  const [first = ''] = browser.split(path.delimiter);
  const [program, ...args] = first.trim().split(/\s+/);
  if (!program || inTerminal.includes(path.basename(program))) return undefined;
  return [program, ...args];
}
