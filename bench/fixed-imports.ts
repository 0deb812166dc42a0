import '@bufbuild/protobuf';
import '@connectrpc/connect';
import '@connectrpc/connect-node';
import '@grpc/grpc-js';
import '@mikro-orm/postgresql';
import '@node-rs/argon2';
import 'jose';
import 'pg';
import 'pino';
import 'prom-client';
import 'zod';
import { tidyOnceIdle } from '../src/cli/after-start.ts';

/* The limit that a start is compared with: Node with the packages that no replica can do without, and nothing else. */
tidyOnceIdle();
setInterval(() => {}, 60_000);
process.stdout.write('ready 0\n');
process.on('SIGTERM', () => process.exit(0));
