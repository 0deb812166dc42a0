import { spawn } from 'node:child_process';

/** Opens the page in the user's browser, if there seems to be one. Never fails: the URL is displayed anyway. */
export function openBrowser(url: string): void {
  const command = opener();
  if (!command || !/^https?:\/\//.test(url)) return;
  const [program, ...args] = command;
  const child = spawn(program, [...args, url], { stdio: 'ignore', detached: true });
  child.on('error', () => {});
  child.unref();
}

function opener(): readonly [string, ...string[]] | undefined {
  const { platform, env } = process;
  // On another machine the browser would open where nobody sees it.
  if (env.SSH_CONNECTION) return undefined;
  if (platform === 'darwin') return ['open'];
  // Not `start`: the shell would interpret the & of a URL.
  if (platform === 'win32') return ['rundll32', 'url.dll,FileProtocolHandler'];
  return env.DISPLAY || env.WAYLAND_DISPLAY ? ['xdg-open'] : undefined;
}
