#!/usr/bin/env node
/*
 * GATEHOUSE_ADDRESS=localhost:50051 tools/node examples/cli.mjs login | whoami | token | logout
 *
 * A command line tool whose users sign in with Gatehouse. Copy it, and add commands of your own.
 */
import { runCli } from 'gatehouse/cli';
import { createGatehouse } from 'gatehouse/node';

const address = process.env.GATEHOUSE_ADDRESS ?? 'localhost:50051';
// In the clear only to this machine.
const isLocal = /^(localhost|127\.0\.0\.1):/.test(address);
const gatehouse = createGatehouse({ address, tls: !isLocal });

process.exitCode = await runCli(process.argv.slice(2), { name: 'gatehouse', gatehouse });
gatehouse.close();
