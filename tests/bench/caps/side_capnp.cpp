// SPDX-License-Identifier: MIT
//
// Cap'n Proto RPC on a Unix socket, two parties: a method that returns its bytes.
#include "echo.capnp.h"
#include "load.h"

#include <capnp/rpc-twoparty.h>
#include <kj/async-io.h>
#include <kj/async-unix.h>
#include <sys/socket.h>

namespace
{

class Server final : public Echo::Server
{
      public:
	kj::Promise<void> echo(EchoContext context) override
	{
		context.getResults().setData(context.getParams().getData());
		return kj::READY_NOW;
	}
};

void serve(int fd)
{
	auto io = kj::setupAsyncIo();
	auto stream =
		io.lowLevelProvider->wrapSocketFd(fd, kj::LowLevelAsyncIoProvider::TAKE_OWNERSHIP);
	capnp::TwoPartyVatNetwork network(*stream, capnp::rpc::twoparty::Side::SERVER);
	auto rpc = capnp::makeRpcServer(network, kj::heap<Server>());

	network.onDisconnect().wait(io.waitScope);
}

struct Client {
	explicit Client(int fd)
	    : io(kj::setupAsyncIo()), stream(io.lowLevelProvider->wrapSocketFd(
					      fd, kj::LowLevelAsyncIoProvider::TAKE_OWNERSHIP)),
	      client(*stream), echo(client.bootstrap().castAs<Echo>())
	{
	}
	kj::AsyncIoContext io;
	kj::Own<kj::AsyncIoStream> stream;
	capnp::TwoPartyClient client;
	Echo::Client echo;
};

void *open_client(int fd)
{
	return new Client(fd);
}

void call(void *opaque)
{
	auto client = static_cast<Client *>(opaque);
	const unsigned char data[SMALL_BYTES] = {};
	auto request = client->echo.echoRequest();

	request.setData(kj::arrayPtr(data, sizeof(data)));
	auto reply = request.send().wait(client->io.waitScope);
	if (reply.getData().size() != sizeof(data))
		die("Cap'n Proto call");
}

void close_client(void *opaque)
{
	delete static_cast<Client *>(opaque);
}

} // namespace

extern "C" const struct side side_capnp = {"Cap'n Proto RPC", SOCK_STREAM, serve,
					   open_client,       call,        close_client};
