import { createContextValues } from '@connectrpc/connect';
import { defaultProjectId } from '../project/project.ts';
import { kCaller, kOrigin, kProject } from '../rpc/context.ts';

/** The caller in the audit trail for actions of a command: the service does not know the person. */
export function commandLine(command: string) {
  const values = createContextValues()
    .set(kProject, defaultProjectId)
    .set(kCaller, { kind: 'service', projectId: defaultProjectId, name: 'command line' })
    .set(kOrigin, { requestId: '', address: '', userAgent: `gatehouse ${command}` });
  return { values };
}
