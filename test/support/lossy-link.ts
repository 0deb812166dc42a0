import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { inject, onTestFinished } from 'vitest';
import { clusterPassword } from './cluster-password.ts';

/** Passes bytes on from a port to a Unix socket. */
const forwarder = `
  const net = require('node:net');
  const [socket] = process.argv.slice(1);
  const server = net.createServer((client) => {
    const other = net.connect(socket);
    for (const [from, to] of [[client, other], [other, client]])
      from.pipe(to).on('error', () => {}), from.on('error', () => to.destroy()).on('close', () => to.destroy());
  });
  server.listen(5432, '0.0.0.0', () => console.log('ready'));
`;

/**
 * The ways in which a kernel can lose packets: a share of all, or those beyond a narrow link. They lose so many that some
 * statements have no response for seconds.
 */
const disciplines = ['netem loss 50%', 'tbf rate 64kbit burst 3000 limit 3000'];

/**
 * A network of its own between the service and PostgreSQL, which loses packets. Undefined where this user or this kernel
 * cannot make one.
 */
export async function startLossyLink() {
  const name = `gh${process.pid}`;
  const run = (command: string) => execFileSync('/bin/sh', ['-c', command], { encoding: 'utf8', stdio: 'pipe' });
  const address = `10.213.${process.pid % 250}`;
  const devices = [`${name}a`, `ip netns exec ${name} tc qdisc %s dev ${name}b`] as const;
  onTestFinished(() => {
    run(`ip link del ${name}a 2>/dev/null; ip netns del ${name} 2>/dev/null; true`);
  });
  try {
    run(`ip netns add ${name} && ip link add ${name}a type veth peer name ${name}b netns ${name}`);
    run(`ip addr add ${address}.1/30 dev ${name}a && ip link set ${name}a up`);
    run(`ip -n ${name} addr add ${address}.2/30 dev ${name}b && ip -n ${name} link set ${name}b up`);
  } catch {
    return undefined;
  }
  const shape = (verb: string, discipline: string) =>
    run(
      `tc qdisc ${verb} dev ${devices[0]} root ${discipline} && ${devices[1].replace('%s', verb)} root ${discipline}`,
    );
  const possible = disciplines.find((each) => {
    try {
      shape('replace', each);
      return true;
    } catch {
      return false;
    }
  });
  if (!possible) return undefined;
  shape('del', '');
  const socket = `${inject('pgHost')}/.s.PGSQL.5432`;
  const child = spawn('ip', ['netns', 'exec', name, process.execPath, '-e', forwarder, socket], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  return {
    url: (database: { name: string }) => `postgresql://postgres:${clusterPassword}@${address}.2:5432/${database.name}`,
    lose: () => void shape('replace', possible),
    heal: () => void shape('del', ''),
    /** Packets that were lost towards PostgreSQL since it began to lose some. */
    lost: () => Number(/dropped (\d+)/.exec(run(`tc -s qdisc show dev ${devices[0]} root`))?.[1] ?? 0),
  };
}
