import path from 'node:path';
import packageJson from '../../package.json' with { type: 'json' };
import type { Config } from '../config/config.ts';
import { authority } from '../text/authority.ts';

export interface Ports {
  readonly grpcPort: number;
  readonly httpPort: number;
  readonly adminPort: number | undefined;
}

/** What a person at a terminal reads when the service is ready: where everything is, and what to do next. */
export function readyBanner(config: Config, { grpcPort, httpPort, adminPort }: Ports): string {
  const host = isLocal(config.host) ? 'localhost' : config.host;
  const http = `${config.tls ? 'https' : 'http'}://${authority(host, httpPort)}`;
  const admin = adminPort === undefined ? undefined : `http://${authority(host, adminPort)}`;
  const inDevelopment = config.environment === 'development';
  const generatedKey = config.serviceKeys.some(({ name }) => name === 'development');
  const rows = [
    ['gRPC', authority(host, grpcPort)],
    ['JSON', http],
    ...(admin ? [['Metrics', `${admin}/metrics`]] : []),
    ...(admin && inDevelopment && config.mail.mode === 'capture' ? [['Mail', `${admin}/dev/mail`]] : []),
    ['Database', config.database.url ? 'external' : `embedded, in ${shown(config.dataDir)}`],
    ...(inDevelopment && generatedKey ? [['Service key', shown(path.join(config.dataDir, 'service-key'))]] : []),
  ];
  return [
    '',
    `  Gatehouse ${packageJson.version} is ready (${config.environment})`,
    '',
    ...rows.map(([name, value]) => `  ${name!.padEnd(13)}${value}`),
    '',
    `  Try it: curl -s ${http}/gatehouse.v1.AuthService/GetSettings -H 'content-type: application/json' -d '{}'`,
    '  README.md has a tour of five minutes. Ctrl-C stops everything.',
    '',
    '',
  ].join('\n');
}

function isLocal(host: string): boolean {
  return ['127.0.0.1', '::1', '0.0.0.0', '::'].includes(host);
}

/** The shorter of the absolute path and the one from the working directory. */
function shown(file: string): string {
  const relative = path.relative('', file);
  return relative.length < file.length ? relative : file;
}
