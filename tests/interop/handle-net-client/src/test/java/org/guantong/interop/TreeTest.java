package org.guantong.interop;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;

import net.handle.hdllib.AbstractMessage;
import net.handle.hdllib.AbstractResponse;
import net.handle.hdllib.HandleException;
import net.handle.hdllib.HandleResolver;
import net.handle.hdllib.HandleValue;
import net.handle.hdllib.ResolutionRequest;
import net.handle.hdllib.ResolutionResponse;
import net.handle.hdllib.SiteInfo;
import net.handle.hdllib.Util;
import org.guantong.interop.Node.Transport;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** The tree above the node: walked by the library itself, and resolved by a recursive node. */
class TreeTest {
    private static final String PLAIN = "88.118.5/plain";
    private static final String LARGE = "88.118.5/large";

    @ParameterizedTest
    @EnumSource(value = Transport.class, names = {"UDP", "TCP", "HTTP"})
    void recursiveNodeGivesTheRecordsOfOthers(Transport transport) throws HandleException {
        for (String handle : new String[] {PLAIN, LARGE}) {
            ResolutionRequest request = Node.request(handle, null, null);
            request.returnRequestDigest = true;
            AbstractResponse response = Node.ask(request, "RECURSIVE_", transport);
            assertEquals(AbstractMessage.RC_SUCCESS, response.responseCode);
            assertFalse(response.authoritative, "what others said is not ours to vouch for");
            assertArrayEquals(
                    Util.doDigest(response.rdHashType, request.getEncodedMessageBody()),
                    response.requestDigest);
            HandleValue[] found = ((ResolutionResponse) response).getHandleValues();
            HandleValue[] held = Node.values(handle, Transport.TCP);
            assertEquals(held.length, found.length);
            for (int i = 0; i < held.length; i++) {
                assertArrayEquals(held[i].getData(), found[i].getData());
            }
        }
    }

    @ParameterizedTest
    @EnumSource(value = Transport.class, names = {"UDP", "TCP", "HTTP"})
    void recursiveNodeSaysWhatDoesNotExist(Transport transport) throws HandleException {
        for (String handle : new String[] {"88.118.5/none", "20.500.999/x"}) {
            ResolutionRequest request = Node.request(handle, null, null);
            AbstractResponse response = Node.ask(request, "RECURSIVE_", transport);
            assertEquals(AbstractMessage.RC_HANDLE_NOT_FOUND, response.responseCode);
        }
    }

    @Test
    void libraryWalksTheTreeFromTheRoot() throws HandleException {
        HandleValue[] values = walker().resolveHandle(PLAIN, new String[] {"URL"}, null);
        assertEquals(1, values.length);
        assertEquals("https://example.org/plain", values[0].getDataAsString());
    }

    @Test
    void libraryIsToldWhatDoesNotExist() {
        HandleException thrown =
                assertThrows(HandleException.class, () -> walker().resolveHandle("88.118.5/none"));
        assertEquals(HandleException.HANDLE_DOES_NOT_EXIST, thrown.getCode());
    }

    /** A resolver that knows the root and nothing else. */
    private static HandleResolver walker() throws HandleException {
        HandleResolver resolver = Node.resolver();
        SiteInfo[] root = {Node.site("ROOT_", Transport.TCP)};
        resolver.getConfiguration().setGlobalSites(root);
        return resolver;
    }
}
