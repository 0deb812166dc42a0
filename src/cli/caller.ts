import { createContextValues } from '@connectrpc/connect';
import { defaultProjectId } from '../project/project.ts';
import { kCaller, kOrigin, kProject } from '../rpc/context.ts';

/** Who acts in the audit trail when a command does it: nobody the service could know. */
export function commandLine(command: string) {
  const values = createContextValues()
    .set(kProject, defaultProjectId)
    .set(kCaller, { kind: 'service', projectId: defaultProjectId, name: 'command line' })
    .set(kOrigin, { requestId: '', address: '', userAgent: `gatehouse ${command}` });
  return { values };
}
