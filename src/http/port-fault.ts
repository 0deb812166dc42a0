import type { Server } from 'node:http';
import { authority } from '../text/authority.ts';
import { listenHttp } from './listening.ts';

type PortSetting = 'GRPC_PORT' | 'HTTP_PORT' | 'ADMIN_PORT';

/** Waits until a server listens. Throws an error that names the setting which keeps it from listening. */
export async function naming(setting: PortSetting, place: string, listening: Promise<number>): Promise<number> {
  try {
    return await listening;
  } catch (error) {
    throw new Error(explain(setting, place, error as Error), { cause: error });
  }
}

/** Undefined when the port is off. */
export async function listenAdmin(
  server: Server,
  { host, adminPort: port }: { readonly host: string; readonly adminPort: number | undefined },
): Promise<number | undefined> {
  if (port === undefined) return undefined;
  return naming('ADMIN_PORT', authority(host, port), listenHttp(server, host, port));
}

/** grpc-js reports the code in its message. */
function explain(setting: PortSetting, place: string, { message }: Error): string {
  const code = /\bE[A-Z]{4,}\b/.exec(message)?.[0];
  switch (code) {
    case 'EADDRINUSE':
      return `${setting}: ${code}, another process listens on ${place}: set another port, or stop that process`;
    case 'EACCES':
      return `${setting}: this user may not listen on ${place}: set a port above 1023 (${code})`;
    case 'EADDRNOTAVAIL':
    case 'EAFNOSUPPORT':
      return `BIND_ADDRESS: this machine has no such address for ${place}, the place of ${setting} (${code})`;
    default:
      return `${setting}: cannot listen on ${place}: ${message}`;
  }
}
