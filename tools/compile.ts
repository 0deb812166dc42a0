/* npm run compile: loads what a start loads, so that Node keeps the compiled code. */
import '../src/cli/serve.ts';
import '../src/cli/migrated.ts';
import '../src/server.ts';
