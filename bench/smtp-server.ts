import type { AddressInfo } from 'node:net';
import { SMTPServer } from 'smtp-server';

/* A mail server that accepts every mail and keeps none. */
const server = new SMTPServer({
  authOptional: true,
  disabledCommands: ['STARTTLS'],
  disableReverseLookup: true,
  logger: false,
  onData(stream, _, callback) {
    stream.on('end', callback).resume();
  },
});
server.on('error', () => {});
server.listen(0, '127.0.0.1', () => console.log(`ready ${(server.server.address() as AddressInfo).port}`));
