import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { file_buf_validate_validate } from '@bufbuild/protovalidate/gen/buf/validate/validate_pb.js';
import { printProto } from './print-proto.ts';

const copies = {
  'google/rpc/error_details.proto': 'google-proto-files/google/rpc/error_details.proto',
  'google/rpc/status.proto': 'google-proto-files/google/rpc/status.proto',
  'grpc/health/v1/health.proto': 'grpc-health-check/proto/health/v1/health.proto',
  'grpc/reflection/v1/reflection.proto': '@grpc/reflection/build/proto/grpc/reflection/v1/reflection.proto',
  'grpc/reflection/v1alpha/reflection.proto': '@grpc/reflection/build/proto/grpc/reflection/v1alpha/reflection.proto',
};

/** Fills third_party/ with the protos of others that ours import or that we serve, all taken from node_modules. */
export function gatherThirdParty(): void {
  for (const [name, source] of Object.entries(copies))
    put(name, readFileSync(path.join('node_modules', source), 'utf8'));
  put('buf/validate/validate.proto', printProto(file_buf_validate_validate));
}

// By rename, and only when it differs: `npm run check` reads these files while another run may write them.
function put(name: string, text: string): void {
  const target = path.join('third_party', name);
  if (existsSync(target) && readFileSync(target, 'utf8') === text) return;
  mkdirSync(path.dirname(target), { recursive: true });
  const fresh = `${target}.${process.pid}`;
  writeFileSync(fresh, text);
  renameSync(fresh, target);
}
