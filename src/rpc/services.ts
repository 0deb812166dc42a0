import type { DescService } from '@bufbuild/protobuf';
import { type ConnectRouter, createServiceImplSpec, type ServiceImpl, type ServiceImplSpec } from '@connectrpc/connect';

/** Pairs a service with its implementation. A missing method does not compile. */
export function serve<Service extends DescService>(service: Service, impl: ServiceImpl<Service>): ServiceImplSpec {
  return createServiceImplSpec<Service>(service, impl);
}

/** Mounts services on a Connect router. */
export function mount(router: ConnectRouter, services: readonly ServiceImplSpec[]): void {
  for (const { methods } of services) {
    for (const { method, impl } of Object.values(methods)) router.rpc(method, impl as never);
  }
}
