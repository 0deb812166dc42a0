import {
  type DescEnum,
  type DescExtension,
  type DescFile,
  type DescMessage,
  type DescService,
  type MessageInitShape,
  toBinary,
} from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import { Code, type ServiceImpl } from '@connectrpc/connect';
import { file_google_rpc_error_details } from '../../gen/google/rpc/error_details_pb.ts';
import {
  ServerReflection,
  type ServerReflectionRequest,
  type ServerReflectionResponseSchema,
} from '../../gen/grpc/reflection/v1/reflection_pb.ts';
import { ServerReflection as ServerReflectionAlpha } from '../../gen/grpc/reflection/v1alpha/reflection_pb.ts';

type Reply = NonNullable<MessageInitShape<typeof ServerReflectionResponseSchema>['messageResponse']>;
type Query = ServerReflectionRequest['messageRequest'];

/**
 * Server reflection from the descriptors in the generated code, custom options included, which the npm package drops. It
 * describes itself too, and the details of errors, without which clients print them as base64. The alpha version has the
 * same messages under another package name, so one implementation serves both.
 */
export function reflectionServices(services: readonly DescService[]): {
  v1: ServiceImpl<typeof ServerReflection>;
  v1alpha: ServiceImpl<typeof ServerReflectionAlpha>;
} {
  const described = [...services, ServerReflection, ServerReflectionAlpha];
  const index = new DescriptorIndex(described, [file_google_rpc_error_details]);
  async function* serverReflectionInfo(requests: AsyncIterable<ServerReflectionRequest>) {
    for await (const request of requests) {
      const messageResponse = index.find(request.messageRequest);
      yield { validHost: request.host, originalRequest: request, messageResponse };
    }
  }
  return { v1: { serverReflectionInfo }, v1alpha: { serverReflectionInfo } as never };
}

class DescriptorIndex {
  readonly #services: readonly DescService[];
  readonly #files = new Map<string, DescFile>();
  readonly #symbols = new Map<string, DescFile>();
  readonly #extensions = new Map<string, Map<number, DescFile>>();

  constructor(services: readonly DescService[], files: readonly DescFile[]) {
    this.#services = services;
    for (const file of [...services.map((each) => each.file), ...files]) this.#addFile(file);
  }

  find(query: Query): Reply {
    switch (query.case) {
      case 'listServices':
        return {
          case: 'listServicesResponse',
          value: { service: this.#services.map(({ typeName: name }) => ({ name })) },
        };
      case 'fileByFilename':
        return withImports(this.#files.get(query.value));
      case 'fileContainingSymbol':
        return withImports(this.#symbols.get(query.value.replace(/^\./, '')));
      case 'fileContainingExtension':
        return withImports(this.#extensions.get(query.value.containingType)?.get(query.value.extensionNumber));
      case 'allExtensionNumbersOfType': {
        const numbers = [...(this.#extensions.get(query.value)?.keys() ?? [])];
        if (numbers.length === 0) return failure(Code.NotFound, 'no extensions');
        return {
          case: 'allExtensionNumbersResponse',
          value: { baseTypeName: query.value, extensionNumber: numbers },
        };
      }
      default:
        return failure(Code.InvalidArgument, 'no query');
    }
  }

  #addFile(file: DescFile): void {
    if (this.#files.has(file.proto.name)) return;
    this.#files.set(file.proto.name, file);
    for (const each of file.dependencies) this.#addFile(each);
    this.#addTypes(file, file.messages, file.enums, file.extensions);
    for (const service of file.services) {
      this.#symbols.set(service.typeName, file);
      for (const method of service.methods) this.#symbols.set(`${service.typeName}.${method.name}`, file);
    }
  }

  #addTypes(
    file: DescFile,
    messages: readonly DescMessage[],
    enums: readonly DescEnum[],
    extensions: readonly DescExtension[],
  ): void {
    for (const each of [...messages, ...enums, ...extensions]) this.#symbols.set(each.typeName, file);
    for (const each of messages) {
      for (const field of each.fields) this.#symbols.set(`${each.typeName}.${field.name}`, file);
      this.#addTypes(file, each.nestedMessages, each.nestedEnums, each.nestedExtensions);
    }
    for (const { extendee, number } of extensions) {
      const known = this.#extensions.get(extendee.typeName) ?? new Map<number, DescFile>();
      this.#extensions.set(extendee.typeName, known.set(number, file));
    }
  }
}

function withImports(file: DescFile | undefined): Reply {
  if (!file) return failure(Code.NotFound, 'not found');
  const files = new Set<DescFile>();
  const add = (each: DescFile): void => {
    if (!files.has(each)) {
      files.add(each);
      each.dependencies.forEach(add);
    }
  };
  add(file);
  const fileDescriptorProto = [...files].map((each) => toBinary(FileDescriptorProtoSchema, each.proto));
  return { case: 'fileDescriptorResponse', value: { fileDescriptorProto } };
}

function failure(errorCode: Code, errorMessage: string): Reply {
  return { case: 'errorResponse', value: { errorCode, errorMessage } };
}
