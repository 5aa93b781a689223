"""Amazon Bedrock: Converse, the count of its tokens, and the bodies of InvokeModel."""

from extproc.formats.bedrock.claude import InvokeClaude as InvokeClaude
from extproc.formats.bedrock.converse import Converse as Converse
from extproc.formats.bedrock.count import CountTokens as CountTokens
from extproc.formats.bedrock.invoke import Invoke as Invoke
