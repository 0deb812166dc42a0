import { createContextValues } from '@connectrpc/connect';
import { defaultProjectId } from '../project/project.ts';
import { kCaller, kOrigin, kProject } from '../rpc/context.ts';

/** The caller in the audit trail for actions of a command: the service does not know the person. */
export function commandLine(command: string, projectId = defaultProjectId) {
  const values = createContextValues()
    .set(kProject, projectId)
    .set(kCaller, { kind: 'service', projectId, name: 'command line' })
    .set(kOrigin, { requestId: '', address: '', userAgent: `gatehouse ${command}` });
  return { values };
}
