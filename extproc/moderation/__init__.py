"""Services that judge texts (D8): what they are asked, how they answer, and what counts as found."""
