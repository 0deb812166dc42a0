import '../src/cli/serve.ts';
import '../src/cli/migrated.ts';
import '../src/cli/migration-thread.ts';
import '../src/server.ts';
